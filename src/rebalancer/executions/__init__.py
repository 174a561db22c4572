"""One run of a schedule or by hand: started, watched, recorded, stopped."""
