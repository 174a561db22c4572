"""The pages of the dashboard, one module each: gather, fill a template, or carry out and send back."""
