"""What pages say and draw: effects, choices and verdicts, figures, tables and words; what notebooks show of runs.

May import `study` and what is below; torch only where a page shows images.
"""
