"""What executes a plan: numpy (any number type), torch (samples at speed), law (exact laws, no samples)."""
