"""Judging: metrics, intervals, the protocol on a test set and on folders of other people's
pictures.
"""
