package execplan

import (
	"encoding/hex"
	"slices"
	"strings"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/unit"
)

// EphemeralTrees is where the copies of RootEphemeral= are (systemd.exec(5)).
const EphemeralTrees = "/var/lib/systemd/ephemeral-trees"

// ownRoot says whether the command sees another root than the manager.
func (b *builder) ownRoot() bool {
	return b.p.RootDirectory != "" || b.chroot && (b.s.RootImage != "" || b.s.RootMStack != "")
}

// images fills in what is mounted from disk images and laid over the root.
func (b *builder) images(s *unit.Sandbox, p *plan.Sandbox) {
	if b.chroot && s.RootImage != "" {
		p.RootImage = &plan.Image{
			Path: s.RootImage, Policy: s.RootImagePolicy, Options: imageOptions(s.RootImageOptions),
			RootHash: s.RootHash, RootHashPath: s.RootHashPath, Signature: s.RootHashSignature, SignaturePath: s.RootHashSignaturePath,
			HashTree: s.RootVerity, VerityHelper: verityHelper(b.ctx), ReadOnly: s.ProtectSystem == "strict" || slices.Contains(s.ReadOnlyPaths, "/"),
		}
	}
	if b.chroot && s.RootImage == "" && s.RootMStack != "" {
		p.RootMStack = &plan.Image{Path: s.RootMStack, Policy: s.RootImagePolicy, VerityHelper: verityHelper(b.ctx)}
	}
	if b.ownRoot() {
		p.EphemeralDir = ephemeralDir(b.u, *b.ctx)
	}
	for _, m := range s.MountImages {
		p.MountImages = append(p.MountImages, plan.Image{
			Path: m.Source, Destination: m.Destination, IgnoreMissing: m.IgnoreMissing, Options: imageOptions(m.Options), Policy: s.MountImagePolicy, VerityHelper: verityHelper(b.ctx),
		})
	}
	for _, m := range s.ExtensionImages {
		p.ExtensionImages = append(p.ExtensionImages, plan.Image{
			Path: m.Source, IgnoreMissing: m.IgnoreMissing, Options: imageOptions(m.Options), Policy: s.ExtensionImagePolicy, ReadOnly: true, VerityHelper: verityHelper(b.ctx),
		})
	}
	for _, text := range s.ExtensionDirectories {
		path, optional := strings.CutPrefix(text, "-")
		path, below := strings.CutPrefix(path, "+")
		p.ExtensionDirectories = append(p.ExtensionDirectories, plan.PathRule{Path: path, IgnoreMissing: optional, RootPrefixed: below})
	}
}

// verityHelper is where the program is that knows certificates.
func verityHelper(ctx *Context) string {
	if ctx.VerityHelper != "" {
		return ctx.VerityHelper
	}
	return "/usr/lib/muster/muster-verity" // where `make install` puts it
}

func imageOptions(list []unit.ImageOption) []plan.ImageOption {
	var out []plan.ImageOption
	for _, o := range list {
		out = append(out, plan.ImageOption(o))
	}
	return out
}

// ephemeralDir is where the throw-away copy of the root of one activation is,
// "" without RootEphemeral=. All its commands use the same.
func ephemeralDir(u *unit.Unit, ctx Context) string {
	e, s := u.GetExec(), u.GetSandbox()
	if !s.RootEphemeral || s.RootImage == "" && s.RootMStack == "" && (e.RootDirectory == "" || e.RootDirectory == "/") {
		return ""
	}
	return EphemeralTrees + "/" + strings.ReplaceAll(u.Name, "/", "-") + "-" + hex.EncodeToString(ctx.InvocationID[:8])
}
