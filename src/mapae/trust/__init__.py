"""Who may issue what, who may ask for what, and two people behind every change."""
