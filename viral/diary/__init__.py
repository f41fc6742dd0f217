"""Diary: drafts kept with their predictions, joined to what became of them once they were posted and scraped."""
