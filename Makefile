# Skiff's tasks; each is `cargo xtask <name>`, which says more with --help.

.PHONY: help demo test bench build docs fuzz setup kubernetes images compiler

help:
	@echo 'make demo        from nothing to docker build in a pod of a local Kubernetes, and away again'
	@echo 'make test        every check and every test, the end-to-end ones on a local Kubernetes'
	@echo 'make bench       what Skiff must reach, measured'
	@echo 'make build       target/release/skiff, with the agent in it'
	@echo 'make docs        JSON Schemas and reference pages, from the tables of the language'
	@echo 'make fuzz        random inputs on what reads task files, ten minutes each'
	@echo 'make setup       install the Debian packages that the demo and the tests need'
	@echo 'make kubernetes  build Kubernetes from Debian'\''s source package into ~/.skiff'
	@echo 'make images      build the images of clusters without a registry into ~/.skiff'

demo test bench build docs fuzz setup kubernetes images: compiler
	@cargo xtask $@

# What it takes to compile xtask, which brings everything else.
compiler:
	@sh xtask/compiler.sh
