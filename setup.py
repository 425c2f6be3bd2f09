"""Packaging; ``configs/``, ``tools/`` and ``model-index.yml`` travel as ``mmseg_weak/.mim``, where mim looks."""
import os
import runpy
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIM = ('configs', 'tools', 'model-index.yml')


def requirements(name: str) -> list:
    """Lines of a requirements file without their comments."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    return [bare for bare in (line.split('#', 1)[0].strip() for line in lines) if bare]


class BuildWithMim(build_py):
    """Copy what mim needs into a wheel; link to it from the source tree for an editable install."""

    def run(self) -> None:
        super().run()
        editable = getattr(self, 'editable_mode', False)
        target = (ROOT if editable else Path(self.build_lib)) / 'mmseg_weak' / '.mim'
        if target.is_dir():
            shutil.rmtree(target)
        target.mkdir(parents=True)
        for name in MIM:
            source = ROOT / name
            if editable and hasattr(os, 'symlink'):
                (target / name).symlink_to(os.path.relpath(source, target))
            elif source.is_dir():
                shutil.copytree(source, target / name, ignore=shutil.ignore_patterns('__pycache__', '*.pyc'))
            else:
                shutil.copy2(source, target / name)


setup(
    name='mmseg-weak',
    version=runpy.run_path(str(ROOT / 'mmseg_weak' / 'version.py'))['__version__'],
    description='Weakly and semi-supervised segmentation for MMSegmentation 1.x',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8') if (ROOT / 'README.md').is_file() else '',
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=('mmseg_weak', 'mmseg_weak.*')),
    package_data={'mmseg_weak': ['**/*.json', '**/*.html', '**/*.css', '**/*.js', '**/*.txt', '**/*.npz', '**/*.pth',
                                 '**/*.jsonl', '**/*.gz']},
    include_package_data=False,
    python_requires='>=3.10',  # the maintained stack and timm need it
    install_requires=requirements('runtime'),  # neither OpenMMLab stack: they exclude each other
    extras_require={name: requirements(name) for name in ('optional', 'diffusion', 'tests', 'docs')},
    entry_points={'console_scripts': ['mmseg-weak = mmseg_weak.cli:main']},
    cmdclass={'build_py': BuildWithMim},
    zip_safe=False,
    classifiers=['License :: OSI Approved :: Apache Software License', 'Programming Language :: Python :: 3',
                 'Topic :: Scientific/Engineering :: Image Recognition'],
)
