"""From pixels to features: networks that look at a picture, which no VQA network trains."""
