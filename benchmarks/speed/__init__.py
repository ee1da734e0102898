"""Speed of commands and kernels, beside their goals and limits."""
