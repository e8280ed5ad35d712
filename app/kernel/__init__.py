"""What every slice shares and no slice owns. Imports no slice."""
