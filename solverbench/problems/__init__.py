"""Problems: fields with something exact to compare a solver with."""
