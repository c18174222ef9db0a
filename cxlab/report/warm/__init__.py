"""Kernels forked from a process that has done the imports already.

A report's time is mostly start-up: Python, ipykernel, pandas, matplotlib. Here one
process imports them once per run; each kernel is a fork of it. It is a real ipykernel:
notebooks keep kernelspec ``python3`` and see no difference.
"""
