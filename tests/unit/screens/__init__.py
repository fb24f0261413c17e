"""Parts of the screens: charts, cookies, words."""
