"""What is generated in the documentation: tables from the program, pictures from real runs."""
