"""Headers of mails: encoded words, parameters, and what servers say of the sender."""
