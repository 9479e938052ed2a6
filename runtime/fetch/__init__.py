"""How bytes of others come in: base64 in the request, http and https behind an address guard, and S3."""
