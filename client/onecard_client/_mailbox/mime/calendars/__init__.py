"""Invitations and other entries of calendars that mails carry."""
