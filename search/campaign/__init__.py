"""What is searched: campaign files, their spaces, and the pure rules of the search."""
