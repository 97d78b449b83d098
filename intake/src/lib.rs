//! Pulls evidence, source, bases and candidate into a dossier, and states signed facts.
