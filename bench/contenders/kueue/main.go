// Command kueue is Kueue's manager without its webhooks, which need certificates and a Service: its core controllers,
// its topology controllers, the Job integration and the admission loop, put together as its own main function does.
// Whoever creates objects writes what the webhooks would: `suspend: true` in Jobs. No webhook is called, so the
// measured Kueue is, if anything, faster than the installed one.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/util/flowcontrol"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	configapi "sigs.k8s.io/kueue/apis/config/v1beta2"
	kueue "sigs.k8s.io/kueue/apis/kueue/v1beta2"
	qcache "sigs.k8s.io/kueue/pkg/cache/queue"
	schdcache "sigs.k8s.io/kueue/pkg/cache/scheduler"
	"sigs.k8s.io/kueue/pkg/config"
	"sigs.k8s.io/kueue/pkg/constants"
	"sigs.k8s.io/kueue/pkg/controller/core"
	"sigs.k8s.io/kueue/pkg/controller/core/indexer"
	"sigs.k8s.io/kueue/pkg/controller/jobframework"
	"sigs.k8s.io/kueue/pkg/controller/jobs/job"
	"sigs.k8s.io/kueue/pkg/controller/tas"
	tasindexer "sigs.k8s.io/kueue/pkg/controller/tas/indexer"
	"sigs.k8s.io/kueue/pkg/scheduler"
	preemptexpectations "sigs.k8s.io/kueue/pkg/scheduler/preemption/expectations"
)

func main() {
	file := flag.String("config", "", "Kueue's configuration")
	flag.Parse()
	ctrl.SetLogger(zap.New())
	if err := run(ctrl.SetupSignalHandler(), *file); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, file string) error {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, kueue.AddToScheme, configapi.AddToScheme} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	options, cfg, err := config.Load(scheme, file)
	if err != nil {
		return err
	}
	connection, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	// One limit for all kinds, as in Kueue's main function.
	qps, burst := *cfg.ClientConnection.QPS, *cfg.ClientConnection.Burst
	connection.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(qps, int(burst))
	mgr, err := ctrl.NewManager(connection, options)
	if err != nil {
		return err
	}
	if err := setUp(ctx, mgr, &cfg); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

func setUp(ctx context.Context, mgr ctrl.Manager, cfg *configapi.Configuration) error {
	indexes := mgr.GetFieldIndexer()
	if err := indexer.Setup(ctx, indexes); err != nil {
		return fmt.Errorf("indexes: %w", err)
	}
	if err := tasindexer.SetupIndexes(ctx, indexes); err != nil {
		return fmt.Errorf("topology indexes: %w", err)
	}
	if err := job.SetupIndexes(ctx, indexes); err != nil {
		return fmt.Errorf("Job indexes: %w", err)
	}

	cache := schdcache.New(mgr.GetClient(),
		schdcache.WithPodsReadyTracking(cfg.WaitForPodsReady != nil && *cfg.WaitForPodsReady.BlockAdmission))
	requeuer := qcache.NewRequeuer()
	if err := mgr.Add(requeuer); err != nil {
		return err
	}
	preemptions := preemptexpectations.New()
	queues := qcache.NewManager(mgr.GetClient(), cache, requeuer, qcache.WithPreemptionExpectations(preemptions))
	go queues.CleanUpOnContext(ctx)
	go cache.CleanUpOnContext(ctx)

	if name, err := core.SetupControllers(mgr, queues, cache, cfg, nil, preemptions, nil); err != nil {
		return fmt.Errorf("controller %s: %w", name, err)
	}
	if name, err := tas.SetupControllers(mgr, queues, cache, cfg, nil); err != nil {
		return fmt.Errorf("topology controller %s: %w", name, err)
	}
	jobs, err := job.NewReconciler(ctx, mgr.GetClient(), indexes, mgr.GetEventRecorderFor("job-kueue-controller"),
		jobframework.WithWaitForPodsReady(cfg.WaitForPodsReady),
		jobframework.WithManagerName(constants.KueueName),
		jobframework.WithCache(cache),
		jobframework.WithQueues(queues))
	if err != nil {
		return fmt.Errorf("Job integration: %w", err)
	}
	if err := jobs.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("Job integration: %w", err)
	}

	if err := mgr.AddReadyzCheck("readyz", healthz.Ping); err != nil {
		return err
	}
	return mgr.Add(scheduler.New(queues, cache, mgr.GetClient(), mgr.GetEventRecorderFor(constants.AdmissionName),
		scheduler.WithPreemptionExpectations(preemptions)))
}
