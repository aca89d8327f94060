// Writes the bodies that kube-scheduler of one version sends to an extender, encoded by the Go types and the encoder of that
// version: each field of a pod has a value, so that a field which only newer versions have is there. Which version it is,
// the go.mod beside the built copy says: generate.ts makes it.
package main

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	configuration "k8s.io/kube-scheduler/config/v1"
	extender "k8s.io/kube-scheduler/extender/v1"
)

// What has every field, but says nothing about a version, or is not Muster's to read: it would be a hundred times as long.
var left = map[reflect.Type]bool{
	reflect.TypeOf(v1.EphemeralContainer{}): true,
	reflect.TypeOf(v1.Lifecycle{}):          true,
	reflect.TypeOf(v1.Probe{}):              true,
	reflect.TypeOf(metav1.FieldsV1{}):       true,
}

// Of these, one field at a time may have a value.
var volumes = reflect.TypeOf(v1.VolumeSource{})

var instant = metav1.NewTime(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC))

func fill(value reflect.Value, depth int) {
	switch value.Interface().(type) {
	case resource.Quantity:
		value.Set(reflect.ValueOf(resource.MustParse("1")))
		return
	case metav1.Time:
		value.Set(reflect.ValueOf(instant))
		return
	case metav1.MicroTime:
		return
	case intstr.IntOrString:
		value.Set(reflect.ValueOf(intstr.FromInt32(1)))
		return
	}
	if left[value.Type()] || depth > 12 {
		return
	}
	switch value.Kind() {
	case reflect.String:
		value.SetString("x")
	case reflect.Bool:
		value.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		value.SetInt(1)
	case reflect.Uint8:
		value.SetUint(1)
	case reflect.Pointer:
		if left[value.Type().Elem()] {
			return
		}
		value.Set(reflect.New(value.Type().Elem()))
		fill(value.Elem(), depth+1)
	case reflect.Slice:
		if left[value.Type().Elem()] {
			return
		}
		list := reflect.MakeSlice(value.Type(), 1, 1)
		fill(list.Index(0), depth+1)
		value.Set(list)
	case reflect.Map:
		key := reflect.New(value.Type().Key()).Elem()
		fill(key, depth+1)
		item := reflect.New(value.Type().Elem()).Elem()
		fill(item, depth+1)
		filled := reflect.MakeMap(value.Type())
		filled.SetMapIndex(key, item)
		value.Set(filled)
	case reflect.Struct:
		if value.Type() == volumes {
			claim := &v1.PersistentVolumeClaimVolumeSource{ClaimName: "x"}
			value.Set(reflect.ValueOf(v1.VolumeSource{PersistentVolumeClaim: claim}))
			return
		}
		for i := 0; i < value.NumField(); i++ {
			if value.Field(i).CanSet() {
				fill(value.Field(i), depth+1)
			}
		}
	}
}

// The names of fields in JSON and YAML.
func fieldsOf(of reflect.Type) []string {
	names := []string{}
	for i := 0; i < of.NumField(); i++ {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

func main() {
	pod := v1.Pod{}
	fill(reflect.ValueOf(&pod).Elem(), 0)
	// As kube-scheduler has pods: from its informer, without kind and managed fields, waiting.
	pod.TypeMeta = metav1.TypeMeta{}
	pod.ManagedFields = nil
	pod.Name, pod.Namespace, pod.UID = "train-0", "default", types.UID("6c1d1f2e-2f0c-4a3c-9a9c-0b9a3b1a7f01")
	pod.ResourceVersion = "1000"
	pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds, pod.Finalizers = nil, nil, nil
	pod.Spec.NodeName, pod.Spec.SchedulerName = "", v1.DefaultSchedulerName
	pod.Spec.SchedulingGates = nil
	pod.Spec.Containers[0].Resources = v1.ResourceRequirements{
		Limits:   v1.ResourceList{"nvidia.com/gpu": resource.MustParse("8"), v1.ResourceCPU: resource.MustParse("4")},
		Requests: v1.ResourceList{"nvidia.com/gpu": resource.MustParse("8"), v1.ResourceCPU: resource.MustParse("1500m")},
	}
	pod.Status.Phase, pod.Status.NominatedNodeName = v1.PodPending, ""
	names := []string{"n1", "n2"}
	preempting := extender.ExtenderPreemptionArgs{
		Pod: &pod,
		NodeNameToMetaVictims: map[string]*extender.MetaVictims{
			"n1": {Pods: []*extender.MetaPod{{UID: "u1"}, {UID: "u2"}}, NumPDBViolations: 1},
		},
	}
	binding := extender.ExtenderBindingArgs{PodName: pod.Name, PodNamespace: pod.Namespace, PodUID: pod.UID, Node: "n1"}
	bodies := map[string]string{}
	for name, body := range map[string]any{
		"filter":  &extender.ExtenderArgs{Pod: &pod, NodeNames: &names},
		"preempt": &preempting,
		"bind":    &binding,
	} {
		// As extender.go sends it.
		text, err := json.Marshal(body)
		if err != nil {
			panic(err)
		}
		bodies[name] = string(text)
	}
	output := map[string]any{
		"bodies":     bodies,
		"apiVersion": configuration.SchemeGroupVersion.String(),
		"extender":   fieldsOf(reflect.TypeOf(configuration.Extender{})),
		"tlsConfig":  fieldsOf(reflect.TypeOf(configuration.ExtenderTLSConfig{})),
		"managed":    fieldsOf(reflect.TypeOf(configuration.ExtenderManagedResource{})),
	}
	if err := json.NewEncoder(os.Stdout).Encode(output); err != nil {
		panic(err)
	}
}
