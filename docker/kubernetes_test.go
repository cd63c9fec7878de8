package docker

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

// A probe asks a port that has a name.
type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
}

// A stateful is what of the StatefulSet is compared; web/test sees to it that
// everything in the file is something that Kubernetes knows.
type stateful struct {
	Kind     string
	Metadata struct{ Name string }
	Spec     struct {
		ServiceName         string `yaml:"serviceName"`
		Replicas            int
		PodManagementPolicy string `yaml:"podManagementPolicy"`
		Template            struct {
			Metadata struct{ Labels, Annotations map[string]string }
			Spec     struct {
				Grace    int `yaml:"terminationGracePeriodSeconds"`
				Security struct {
					RunAsUser    int  `yaml:"runAsUser"`
					RunAsGroup   int  `yaml:"runAsGroup"`
					RunAsNonRoot bool `yaml:"runAsNonRoot"`
				} `yaml:"securityContext"`
				Containers []container
				Volumes    []volume
			}
		}
		Claims []struct{ Metadata struct{ Name string } } `yaml:"volumeClaimTemplates"`
	}
}

type volume struct {
	Name   string
	Secret struct {
		Name string `yaml:"secretName"`
	}
}

type container struct {
	Image string
	Ports []struct {
		Name string
		Port int `yaml:"containerPort"`
	}
	Env []struct {
		Name, Value string
		From        struct {
			Field struct {
				Path string `yaml:"fieldPath"`
			} `yaml:"fieldRef"`
		} `yaml:"valueFrom"`
	}
	Startup   probe `yaml:"startupProbe"`
	Readiness probe `yaml:"readinessProbe"`
	Liveness  probe `yaml:"livenessProbe"`
	Security  struct {
		ReadOnly bool `yaml:"readOnlyRootFilesystem"`
	} `yaml:"securityContext"`
	Mounts []struct {
		Name string
		Path string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
}

// A selecting is a Service, a PodDisruptionBudget or a NetworkPolicy.
type selecting struct {
	Kind     string
	Metadata struct{ Name string }
	Spec     struct {
		Selector map[string]any
		Cluster  string `yaml:"clusterIP"`
		Early    bool   `yaml:"publishNotReadyAddresses"`
		Most     int    `yaml:"maxUnavailable"`
		Ports    []struct {
			Port   int
			Target string `yaml:"targetPort"`
		}
	}
}

// manifests are the documents of kubernetes.yml by kind and name.
func manifests(t *testing.T) (set stateful, others map[string]selecting) {
	t.Helper()
	others = map[string]selecting{}
	d := yaml.NewDecoder(strings.NewReader(read(t, "kubernetes.yml")))
	for {
		var one yaml.Node
		err := d.Decode(&one)
		if errors.Is(err, io.EOF) {
			return set, others
		}
		var other selecting
		if err == nil {
			err = one.Decode(&other)
		}
		if err == nil && other.Kind == "StatefulSet" {
			err = one.Decode(&set)
		}
		if err != nil {
			t.Fatal(err)
		}
		others[other.Kind+" "+other.Metadata.Name] = other
	}
}

func TestKubernetesFitsTheImage(t *testing.T) {
	set, others := manifests(t)
	env, said := image(t)
	pod := &set.Spec.Template.Spec
	if len(pod.Containers) != 1 || len(set.Spec.Claims) != 1 {
		t.Fatalf("%+v", set)
	}
	c := &pod.Containers[0]
	name := set.Metadata.Name + "-0"
	for _, e := range c.Env {
		if !strings.HasPrefix(e.Name, "TOCSIN_") {
			continue
		}
		if env[e.Name] = e.Value; e.From.Field.Path == "metadata.name" {
			env[e.Name] = name
		}
	}
	settings := accepted(t, env)
	if grace := time.Duration(pod.Grace) * time.Second; grace < longest(t, settings) {
		t.Errorf("a pod is killed after %v and may need %v", grace, longest(t, settings))
	}
	if user := fmt.Sprintf("%d:%d", pod.Security.RunAsUser, pod.Security.RunAsGroup); user != said["USER"] {
		t.Errorf("it runs as %s, the image as %s", user, said["USER"])
	}
	if !c.Security.ReadOnly || !pod.Security.RunAsNonRoot {
		t.Error("its root can be written, or its user may be root")
	}
	// Its peers are its pods, and it finds them before they are ready.
	nodes := others["Service "+set.Spec.ServiceName]
	var peers []string
	for i := range set.Spec.Replicas {
		peers = append(peers, fmt.Sprintf("%s-%d.%s%s", set.Metadata.Name, i, set.Spec.ServiceName, settings["cluster-listen"]))
	}
	if got := strings.FieldsFunc(settings["cluster-peers"], func(c rune) bool { return c == ' ' || c == ',' }); !slices.Equal(got, peers) {
		t.Errorf("its peers are %v, want %v", got, peers)
	}
	if nodes.Spec.Cluster != "None" || !nodes.Spec.Early || set.Spec.PodManagementPolicy != "Parallel" || settings["cluster-node"] != name {
		t.Error("the nodes cannot find each other before they are ready")
	}
	if budget := others["PodDisruptionBudget "+set.Metadata.Name]; budget.Spec.Most != 1 {
		t.Errorf("%d of %d may be away", budget.Spec.Most, set.Spec.Replicas)
	}
	testPorts(t, c, settings, others)
	testFiles(t, c, env, set)
	for kind, other := range others {
		labels := other.Spec.Selector
		if inner, ok := labels["matchLabels"].(map[string]any); ok {
			labels = inner
		}
		for key, value := range labels {
			if set.Spec.Template.Metadata.Labels[key] != value {
				t.Errorf("%s selects %s=%v, which no pod has", kind, key, value)
			}
		}
	}
}

// testPorts looks whether ports that are named are served, and probes ask the right one.
func testPorts(t *testing.T, c *container, settings map[string]string, others map[string]selecting) {
	t.Helper()
	served := map[string]string{"http": settings["http"], "ops": settings["ops"], "cluster": settings["cluster-listen"]}
	ports := map[string]int{}
	for _, p := range c.Ports {
		ports[p.Name] = p.Port
		if served[p.Name] != fmt.Sprintf(":%d", p.Port) {
			t.Errorf("%s is served at %s, not at %d", p.Name, served[p.Name], p.Port)
		}
	}
	for name, other := range others {
		for _, p := range other.Spec.Ports {
			if ports[p.Target] == 0 {
				t.Errorf("%s goes to the port %s, which there is not", name, p.Target)
			}
		}
	}
	for path, p := range map[string]probe{"/healthz": c.Liveness, "/readyz": c.Readiness} {
		if p.HTTPGet.Path != path || p.HTTPGet.Port != "ops" {
			t.Errorf("a probe asks %+v instead of %s", p, path)
		}
	}
	if c.Startup.HTTPGet != c.Liveness.HTTPGet {
		t.Errorf("it begins when %+v", c.Startup)
	}
}

// testFiles looks whether everything that is read or written is mounted.
func testFiles(t *testing.T, c *container, env map[string]string, set stateful) {
	t.Helper()
	mounts := map[string]string{}
	for _, m := range c.Mounts {
		mounts[m.Path] = m.Name
	}
	if mounts[env["TOCSIN_DATA"]] != set.Spec.Claims[0].Metadata.Name {
		t.Errorf("%s is not kept", env["TOCSIN_DATA"])
	}
	for key, path := range env {
		if !strings.HasSuffix(key, "_FILE") {
			continue
		}
		i := strings.LastIndex(path, "/")
		mounted := func(v volume) bool { return v.Name == mounts[path[:i]] && v.Secret.Name != "" }
		given := slices.ContainsFunc(set.Spec.Template.Spec.Volumes, mounted)
		if !given || !strings.Contains(read(t, "kubernetes.yml"), "--from-file="+path[i+1:]) {
			t.Errorf("nobody gives it %s", path)
		}
	}
}
