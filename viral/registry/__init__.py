"""Model versions and promotions."""
