"""Remote mailboxes: drivers that speak domain and hide the wire."""
