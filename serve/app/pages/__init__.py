"""One page per module; each has a function `page`."""
