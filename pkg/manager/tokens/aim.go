package tokens

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4/jwt"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"

	managementv1 "loft.sh/agent/apis/management/v1"
	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/manager/access"
)

var (
	// errNoPermission is said of clusters that do not exist, too.
	errNoPermission = errors.New("does not exist, or you don't have permission")
	errNothingLeft  = errors.New("the scope of the access key leaves nothing of what was asked for")
	errUnscoped     = errors.New("tokens for all clusters are not allowed here: name the clusters that the token is for in spec.scope.clusters")
)

// aim fills in which clusters the token is for, and what it may do there.
func (i *Issuer) aim(ctx context.Context, person *access.Person, scope *storagev1.AccessScope, claims *accesstoken.Claims) error {
	if err := validateScope(scope); err != nil {
		return err
	}
	asked := reachOf(scope)
	for _, name := range asked.names() {
		if err := i.mayUse(ctx, person.Info, name); err != nil {
			return err
		}
	}
	granted := asked.within(reachOf(person.Scope()))
	if granted.everywhere() {
		if !i.options.AllowUnscoped {
			return forbidden(errUnscoped)
		}
		claims.Audience, claims.Scope = jwt.Audience{accesstoken.AllClusters}, granted.scope(nil)
		return nil
	}
	uids, err := i.uids(ctx, person.Info, granted, asked.everywhere())
	switch {
	case err != nil:
		return err
	case granted.limited() && len(granted.clusters) > 1:
		return invalid(field.Invalid(field.NewPath("spec", "scope"), granted.names(),
			"spaces and virtual clusters of several clusters cannot be in one token: ask for one with a single cluster in spec.scope.clusters"))
	case len(uids) == 1:
		claims.Audience = jwt.Audience{uids[0]}
	default:
		claims.Audience = jwt.Audience{accesstoken.AllClusters}
	}
	claims.Scope = granted.scope(uids)
	return nil
}

// uids are those of the clusters of granted, sorted. What the key names, and nobody asked for, is taken
// out of granted where it cannot be used.
func (i *Issuer) uids(ctx context.Context, info user.Info, granted reach, onlyKey bool) ([]string, error) {
	uids := sets.New[string]()
	var last error
	for _, name := range granted.names() {
		uid, err := i.uid(ctx, info, name, onlyKey)
		switch {
		case err == nil:
			uids.Insert(uid)
		case !onlyKey || !apierrors.IsForbidden(err) && !apierrors.IsConflict(err):
			return nil, err
		default:
			last = err
			delete(granted.clusters, name)
		}
	}
	switch {
	case len(uids) > 0:
		return sets.List(uids), nil
	case last != nil:
		return nil, last
	}
	return nil, forbidden(errNothingLeft)
}

func (i *Issuer) uid(ctx context.Context, info user.Info, name string, check bool) (string, error) {
	if check {
		if err := i.mayUse(ctx, info, name); err != nil {
			return "", err
		}
	}
	cluster, err := i.policy.Cluster(name)
	if err != nil {
		return "", noPermission(name)
	}
	uid := cluster.Status.ClusterUID
	if uid == "" {
		return "", apierrors.NewConflict(managementv1.Resource("clusters"), name,
			errors.New("the manager has not reached this cluster yet, so that no token can name it: see its condition Connected"))
	}
	if same := i.policy.ClustersWithUID(uid); len(same) > 1 {
		return "", apierrors.NewConflict(managementv1.Resource("clusters"), name,
			fmt.Errorf("more than one Cluster says that it is this one: an administrator must remove one of %q", same))
	}
	return uid, nil
}

func (i *Issuer) mayUse(ctx context.Context, info user.Info, name string) error {
	may, err := i.policy.MayUseCluster(ctx, info, name)
	switch {
	case err != nil:
		return unavailable(ctx, err, "it cannot be found out at the moment which clusters you may use")
	case !may:
		return noPermission(name)
	}
	return nil
}

func noPermission(cluster string) error {
	return apierrors.NewForbidden(managementv1.Resource("clusters"), cluster, errNoPermission)
}

// maxScopeItems bounds the lists of a scope, as the schema of access keys does.
const maxScopeItems = 100

// validateScope refuses names that are missing: they would be looked for as empty ones.
func validateScope(scope *storagev1.AccessScope) error {
	if scope == nil {
		return nil
	}
	path := field.NewPath("spec", "scope")
	var errs field.ErrorList
	required := func(path *field.Path, values ...string) {
		if slices.Contains(values, "") {
			errs = append(errs, field.Required(path, "every name must be given"))
		}
	}
	for child, n := range map[string]int{
		"clusters": len(scope.Clusters), "spaces": len(scope.Spaces), "virtualClusters": len(scope.VirtualClusters),
	} {
		if n > maxScopeItems {
			errs = append(errs, field.TooMany(path.Child(child), n, maxScopeItems))
		}
	}
	if len(errs) > 0 {
		return invalid(errs...)
	}
	for n, c := range scope.Clusters {
		required(path.Child("clusters").Index(n), c.Cluster)
	}
	for n, s := range scope.Spaces {
		required(path.Child("spaces").Index(n), s.Cluster, s.Space)
	}
	for n, v := range scope.VirtualClusters {
		required(path.Child("virtualClusters").Index(n), v.Cluster, v.Space, v.VirtualCluster)
	}
	if len(errs) > 0 {
		return invalid(errs...)
	}
	return nil
}
