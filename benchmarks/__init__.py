"""Speed and accuracy of accelsim, measured."""
