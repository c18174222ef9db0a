"""What customers and invitations add: who was asked, weights, terms of the gap, their bounds."""
