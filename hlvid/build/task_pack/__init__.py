"""The page of a task pack, and the server in it; copied into packs as they are."""
