"""The page that shows trainings in a browser: it reads run directories, and no training depends on it."""
