"""Students: what they learn from, with which loss, and a teacher's kept answers.

May import `teachers` and what is below.
"""
