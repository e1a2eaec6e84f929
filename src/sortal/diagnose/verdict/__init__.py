"""What ails a network's gradient, and what helps."""
