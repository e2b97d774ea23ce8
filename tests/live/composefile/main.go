// Composefile loads a Compose project as Docker Compose does, with its .env, and prints each service and its image.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	options, err := cli.NewProjectOptions(
		[]string{os.Args[1] + "/docker-compose.yml"},
		cli.WithWorkingDirectory(os.Args[1]),
		cli.WithEnvFiles(),
		cli.WithDotEnv,
		cli.WithProfiles(os.Args[2:]),
	)
	if err == nil {
		var project, loadErr = options.LoadProject(context.Background())
		err = loadErr
		if err == nil {
			for name, service := range project.Services {
				fmt.Println(name, service.Image)
			}
			return
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
