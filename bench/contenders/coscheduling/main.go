// Command coscheduling is kube-scheduler with the Coscheduling plugin of sigs.k8s.io/scheduler-plugins, and without
// its other plugins: they would only bring more modules.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-scheduler/app"

	// Makes the plugin's arguments known to the configuration's decoder.
	_ "sigs.k8s.io/scheduler-plugins/apis/config/scheme"
	"sigs.k8s.io/scheduler-plugins/pkg/coscheduling"
)

func main() {
	os.Exit(cli.Run(app.NewSchedulerCommand(app.WithPlugin(coscheduling.Name, coscheduling.New))))
}
