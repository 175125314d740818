"""Gradient descent: rates, standardizing, stopping, training, the model, the study of rates."""
