"""Emails from mailboxes, files and exports, as their readers saw them."""
