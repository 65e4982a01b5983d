"""VQA v2: free questions about photographs, each answered by ten people."""

GROUP = "type of question"
