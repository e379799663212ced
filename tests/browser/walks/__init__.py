"""Ways through the pages, one for each kind of person. Each comes by every state of its pages and has it judged."""
