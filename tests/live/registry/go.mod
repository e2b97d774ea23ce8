module registry

go 1.26.7

require github.com/google/go-containerregistry v0.22.1
