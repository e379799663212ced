"""The partner portal: pages where people register apps, look after them, and see why something was refused."""
