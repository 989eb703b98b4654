#!/bin/sh
# Counts the words of a file.
echo "$(wc -w < "$1") words on node $SKYPILOT_NODE_RANK"
