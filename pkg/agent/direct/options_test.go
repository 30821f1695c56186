package direct

import "testing"

func TestOptionsReportEveryFault(t *testing.T) {
	o := NewOptions()
	o.InsecurePort, o.Serving.BindPort, o.TrustedProxies = -1, 99999, []string{"x", "y"}
	if errs := o.Validate(); len(errs) < 3 {
		t.Errorf("errors %v, want one for each fault", errs)
	}
}
