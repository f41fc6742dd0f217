"""Download of videos into the store, by URL, page or feed, from allowed hosts and at a limited rate."""
