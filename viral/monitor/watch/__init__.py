"""The watch: polls feeds, scans new posts, records sightings, and hands alerts to the outbox."""
