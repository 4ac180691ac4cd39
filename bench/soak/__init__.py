"""`make soak`: mixed traffic for as long as asked, with every request accounted for."""
