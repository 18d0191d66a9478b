"""What the company follows up by itself, each minute: the customer never has to ask."""
