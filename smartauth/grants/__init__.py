"""The grants, one file each, read straight down."""
