"""The counter: kiosk, checker page and what they live on with and without a network."""
