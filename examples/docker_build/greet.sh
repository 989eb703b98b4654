echo "Hello from a container in a pod: $(uname -s) $(uname -r), $(ls /bin | wc -l) programs in /bin"
