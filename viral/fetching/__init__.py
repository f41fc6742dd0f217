"""Videos from the web into the store: by address, page or feed, within what the user allowed and the hosts bear."""
