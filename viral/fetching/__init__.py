"""Download of videos by URL, page or feed into the store, from allowed hosts and at a limited rate."""
