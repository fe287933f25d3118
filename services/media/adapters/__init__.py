"""What keeps the bytes: a folder of this machine here; object storage beside it when it is configured."""
